"""The one way from a public function to a backend: arrays, checks, transfer, call, and the result's way back."""
