"""The ledger: its records, what each of them settles, and which of them are effective."""
