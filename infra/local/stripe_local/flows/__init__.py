"""What happens in the account: payments, subscriptions, Checkout. Every step emits its events."""
