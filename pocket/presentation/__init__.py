"""What people see: widgets, figures, the brief, in English and Japanese."""
