"""Who answers for what: the audit of a run, and what differs between two."""
