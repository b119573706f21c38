"""The report as a page: pure functions from pictures, masks and numbers to HTML. Opens no file."""
