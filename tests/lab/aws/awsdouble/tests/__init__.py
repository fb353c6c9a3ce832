"""What the double promises, checked with boto3."""
