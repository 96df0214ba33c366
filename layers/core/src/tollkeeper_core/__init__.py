"""The ledger, the check and the services of Tollkeeper."""
