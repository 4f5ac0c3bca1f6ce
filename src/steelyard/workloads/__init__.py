"""What a load test asks: sessions of one or more turns, read or made one by one."""
