package platform

import (
	"fmt"
	"testing"
	"time"

	"pointage/ledger"
)

// BenchmarkIntake uploads one check-in an entry, a hundred entries a request, over TLS to the
// disk: the Region's peak is 54 check-ins a second.
func BenchmarkIntake(b *testing.B) {
	const electors, each = 4000, 100
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, electors)
		d := w.days[josse]
		rounds++
		for i := range electors {
			d.put(b, ledger.BureauNumber(1+i%testBureaux), d.admission(i))
		}
		one := caller{device: d.device(1)}
		b.StartTimer()
		for n := 0; n < len(d.entries); n += each {
			part := d.entries[n:min(n+each, len(d.entries))]
			w.must(one, 200, "PUT", fmt.Sprintf("/communes/21014/ledger/0/entries?from=%d", n), bundle(part...))
		}
	}
	b.ReportMetric(float64(electors*rounds)/b.Elapsed().Seconds(), "check-ins/s")
}

// BenchmarkList uploads the Region's largest list and extracts its absent electors.
func BenchmarkList(b *testing.B) {
	const electors = 90_000
	var uploaded time.Duration
	rounds := 0
	for b.Loop() {
		b.StopTimer()
		w := newWorld(b, electors)
		rounds++
		d, officer, president := w.days[josse], w.as(Officer, josse), w.as(PrincipalPresident, josse)
		b.StartTimer()
		began := b.Elapsed()
		w.must(officer, 201, "PUT", "/communes/21014/list", d.list)
		uploaded += b.Elapsed() - began
		w.must(caller{device: d.device(1)}, 204, "PUT", "/communes/21014/token-key", fmt.Appendf(nil, "%x", d.k))
		w.must(caller{device: d.device(1)}, 200, "PUT", "/communes/21014/ledger/0/entries?from=0", bundle(d.entries[0]))
		w.must(president, 200, "GET", "/communes/21014/absent-electors/addresses", nil)
	}
	b.ReportMetric(uploaded.Seconds()/float64(rounds), "upload-s")
	b.ReportMetric((b.Elapsed()-uploaded).Seconds()/float64(rounds), "absent-s")
}
