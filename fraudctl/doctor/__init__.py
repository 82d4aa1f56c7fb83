"""What a deployment rests on, looked at from outside: each check reads, and changes nothing."""
