"""The ledger: its records, what each of them subject, and which of them are effective."""
