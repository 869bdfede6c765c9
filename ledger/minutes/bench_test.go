package minutes

import (
	"runtime"
	"testing"

	"pointage/ledger"
	"pointage/ledger/ledgertest"
)

// largeDay is a day of 100 bureaux with an entry for each of 100,000 electors.
func largeDay(b *testing.B) *ledgertest.Day {
	const bureaux, electors = 100, 100_000
	d := ledgertest.NewDay(b, bureaux, electors, nil)
	chains := make([]*ledgertest.Chain, bureaux)
	for i := range chains {
		chains[i] = d.Started(ledger.BureauNumber(i + 1))
		chains[i].Put(&ledger.BureauOpened{}, &ledger.Attendance{Member: uint16(i + 1), Presence: ledger.Active})
	}
	for i := range electors {
		chains[i%bureaux].Put(ledgertest.Admission(i))
	}
	return d
}

// BenchmarkCollect reads 100,000 entries; MiB is what the collector keeps.
func BenchmarkCollect(b *testing.B) {
	d := largeDay(b)
	before, after := runtime.MemStats{}, runtime.MemStats{}
	var c *Collector
	for b.Loop() {
		c = nil
		runtime.GC()
		runtime.ReadMemStats(&before)
		c = collected(b, d)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	b.ReportMetric(float64(len(d.Entries))*float64(b.N)/b.Elapsed().Seconds(), "entries/s")
	b.ReportMetric(float64(after.HeapAlloc-before.HeapAlloc)/(1<<20), "MiB")
	runtime.KeepAlive(c)
}

// BenchmarkDraw draws the commune's minutes of that day.
func BenchmarkDraw(b *testing.B) {
	m, size := minutesOf(b, collected(b, largeDay(b)), 0, nil), 0
	for b.Loop() {
		pdf, err := Compose(m, French).PDF()
		if err != nil {
			b.Fatal(err)
		}
		size = len(pdf)
	}
	b.ReportMetric(float64(size)/(1<<10), "KiB")
}

// BenchmarkAbsentElectors draws a list of 17,500, a fifth of the largest commune.
func BenchmarkAbsentElectors(b *testing.B) {
	c := collected(b, ledgertest.NewDay(b, 20, 17_500, nil))
	for b.Loop() {
		if _, err := c.AbsentElectors(Dutch, func(ledger.ElectorToken) (Person, bool) {
			return Person{Surname: "Peeters", FirstNames: "Anne", NationalNumber: "80.01.01-001.01", Address: "Rue de la Limite 1, 1210 Saint-Josse-ten-Noode"}, true
		}).PDF(); err != nil {
			b.Fatal(err)
		}
	}
}
