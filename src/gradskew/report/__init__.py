"""What records say: tables, verdicts, exports, figures and the page."""
