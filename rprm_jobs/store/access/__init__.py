"""Who may use the HTTP service (`tokens`), who did what with it (`audit_log`), and repeated requests (`repeats`)."""
