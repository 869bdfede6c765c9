package web

import (
	"context"
	"time"

	"pointage/ledger"
)

func (s *stage) Contested(context.Context) ([]Contested, error) { return nil, nil }

func (s *stage) Examples(own bool, most int) (out []ledger.ConvocationNumber) {
	for i := range most {
		n, err := ledger.NewConvocationNumber(21014, uint32(40+i), ledger.Complement)
		if err != nil {
			panic(err)
		}
		out = append(out, n)
	}
	return out
}

func (s *stage) Signatories() []Signatory { return nil }

func (s *stage) Relabel(context.Context, Relabelling) (Relabelled, error) { return Relabelled{}, nil }

// later moves the screens' clock on.
func (g *guest) later(d time.Duration) {
	g.mu.Lock()
	defer g.mu.Unlock()
	*g.now = g.now.Add(d)
}
