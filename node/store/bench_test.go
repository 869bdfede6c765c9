package store

import (
	"fmt"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// chainOf is n batches of each of the day's first bureaux in turn, every batch with the given
// number of admissions of electors at home there, as commands.
func chainOf(tb testing.TB, d *ledgertest.Day, bureaux, batches, statements int) [][]byte {
	tb.Helper()
	var chains []*ledgertest.Chain
	var out [][]byte
	for n := range bureaux {
		c := d.Session(ledger.BureauNumber(n+1), byte(n+1))
		chains = append(chains, c)
		out = append(out, c.Sign(&ledger.SessionOpened{Generation: 1, Media: 3}).Encode())
	}
	next := make([]int, bureaux)
	for i := range batches {
		n := i % bureaux
		var bodies []ledger.Body
		for range statements {
			bodies = append(bodies, ledgertest.Admission(n+next[n]*bureaux))
			next[n]++
		}
		out = append(out, chains[n].Sign(bodies...).Encode())
	}
	return out
}

func BenchmarkApply(b *testing.B) {
	const bureaux = 60
	for _, statements := range []int{1, 64} {
		for _, commands := range []int{1, 64} {
			for _, verified := range []bool{false, true} {
				b.Run(fmt.Sprintf("statements=%d/commands=%d/verified-before=%t", statements, commands, verified), func(b *testing.B) {
					d := ledgertest.NewDay(b, bureaux, 90_000, nil)
					all := chainOf(b, d, bureaux, b.N*commands, statements)
					opt := Options{}
					if verified {
						opt.Verified = NewVerified()
						for _, c := range all {
							batch, err := ledger.DecodeBatch(c)
							if err != nil {
								b.Fatal(err)
							}
							h := batch.Signed()
							if err := opt.Verified.verify(&h, d.Group); err != nil {
								b.Fatal(err)
							}
						}
					}
					s, err := Open(b.TempDir(), d.Group, opt)
					if err != nil {
						b.Fatal(err)
					}
					defer s.Close()
					s.Apply(1, all[:bureaux])
					at := bureaux
					b.ReportAllocs()
					b.ResetTimer()
					for range b.N {
						s.Apply(uint64(at+1), all[at:at+commands])
						at += commands
					}
					b.StopTimer()
					b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N*commands*statements), "ns/statement")
				})
			}
		}
	}
}
