"""The local Lambda service: functions, their URLs and what invokes them."""
