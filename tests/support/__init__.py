"""What the tests share: servers of their own, real worker processes, generated jobs, and the audit as their judge."""
