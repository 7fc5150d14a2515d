"""Access to the database: sessions, transactions, and compiled queries."""
