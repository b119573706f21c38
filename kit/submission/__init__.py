"""What the server accepts: rules, check, repair, pack."""
