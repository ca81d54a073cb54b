"""Events that come of impressions: opened, credited to a cause, known once their window is over."""
