package web

import "time"

// NewAt is New by another clock.
func NewAt(cfg Config, now func() time.Time) (*Server, error) { return newServer(cfg, now) }
