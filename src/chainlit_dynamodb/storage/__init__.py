"""Where attachments live: one module and one SDK per storage."""
