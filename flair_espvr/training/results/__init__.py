"""What is made of finished runs: predictions kept, systems compared, tables and pictures."""
