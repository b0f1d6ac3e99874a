"""The efficient adaptation module. Pure torch."""
