"""A job as one page: `page.render` turns what `services.report` read into self-contained HTML."""
