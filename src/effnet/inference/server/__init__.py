"""The HTTP service: one exported model file behind a small API and a page, without torch."""
