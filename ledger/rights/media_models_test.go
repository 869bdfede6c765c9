package rights

import (
	"runtime/debug"
	"testing"
)

// The bounds of the media's searches, as narrow and wide.
var (
	narrowMedia = []mediaBounds{
		{name: "media: 1 move, crash", moves: 1, crashes: 1, openings: 2},
		{name: "media: 2 crashes, 3 openings", crashes: 2, openings: 3},
		{name: "media: 2 electors, failure", electors: 2, fails: 1, openings: 2},
		{name: "media: replacement, 1 move", moves: 1, openings: 2, replace: 1, blankAt: 1},
		{name: "media: copy, 1 move", moves: 1, openings: 2, copies: true, blankAt: 2},
		{name: "media: 2 moves noticed late, crash", lazy: true, moves: 2, crashes: 1, openings: 2},
	}
	wideMedia = []mediaBounds{
		{name: "media: 2 moves, failure, crash, 3 openings", moves: 2, fails: 1, crashes: 1, openings: 3, bits: 26},
		{name: "media: 3 crashes, 4 openings", crashes: 3, openings: 4, bits: 24},
		{name: "media: 3 moves, crash, 3 openings", moves: 3, crashes: 1, openings: 3, bits: 26},
		{name: "media: 2 electors, 1 move, failure, crash", electors: 2, moves: 1, fails: 1, crashes: 1, openings: 2, bits: 26},
		{name: "media: 2 electors, 2 moves, crash", electors: 2, moves: 2, crashes: 1, openings: 2, bits: 26},
		{name: "media: void, 2 moves, crash", voids: 1, moves: 2, crashes: 1, openings: 2, bits: 26},
		{name: "media: 3 moves noticed late, crash", lazy: true, moves: 3, crashes: 1, openings: 2, bits: 24},
		{name: "media: replacement, 2 moves, failure, crash", moves: 2, fails: 1, crashes: 1, openings: 2, replace: 1, bits: 26},
		{name: "media: copy, 2 moves, crash", moves: 2, crashes: 1, openings: 2, copies: true, bits: 26},
	}
)

func (b mediaBounds) ready() mediaBounds {
	if b.bits == 0 {
		b.bits = 22
	}
	if b.electors == 0 {
		b.electors = 1
	}
	return b
}

func TestMediaKeepEveryRecord(t *testing.T) {
	all := narrowMedia
	if *full {
		all = append(append([]mediaBounds(nil), narrowMedia...), wideMedia...)
	}
	total := int64(0)
	for _, b := range all {
		t.Run(b.name, func(t *testing.T) {
			m := newMedia(t, b.ready())
			defer debug.FreeOSMemory()
			r := search(m, m.bits)
			total += r.states
			r.log(t, b.name)
			t.Logf("%d units, %d batches, %d histories, %d MiB", len(m.u.number), len(m.batches.values), len(m.logs.values), peak(t))
			if r.violation != "" || !r.complete {
				t.Fatalf("%s (complete: %v) after\n%s", r.violation, r.complete, trace(m, r.bad))
			}
		})
	}
	t.Logf("%d states in all, %d MiB of memory at most", total, peak(t))
}

// mediaMutant is a bureau without one of the rules for its media, and the promise that is broken then.
type mediaMutant struct {
	name, breaks string
	mediaBounds
}

// What is forgotten on two media is a second ballot as soon as those two are opened; the mutants that break
// S1 go on to there.
var mediaMutants = []mediaMutant{
	{"Media 1 a record on one medium", "S1", mediaBounds{without: oneMedium, crashes: 1, openings: 2}},
	{"R9 open with one medium (media 2)", "S1", mediaBounds{without: openOne, crashes: 1, openings: 2}},
	{"Media 2 read one medium of those attached", "S1", mediaBounds{without: readOne, crashes: 1, openings: 2}},
	{"Media 2 leave out what one medium alone has", "S1", mediaBounds{without: onlyShared, crashes: 1, openings: 2}},
	{"Media 2 the longest medium, not the union", "S1", mediaBounds{without: longest | lateName, crashes: 2, openings: 3}},
	{"Media 2 the latest opening's medium, not the union", "S1", mediaBounds{without: latest, crashes: 2, openings: 3}},
	{"Media 2 the union is not written back", "media", mediaBounds{without: noLevel, fails: 1, crashes: 1, openings: 2}},
	{"Media 2 a blank disk counts", "S1", mediaBounds{without: blankCounts, moves: 1, blankAt: 2, openings: 2}},
	{"Media 3 a medium that comes back is not read", "S1", mediaBounds{without: noReread, lazy: true, moves: 3, openings: 2}},
	{"R10 work on with fewer than two media (media 3)", "S1", mediaBounds{without: noStop, moves: 2, openings: 2}},
	{"Media 4 replace without a new generation", "S1", mediaBounds{without: noGeneration, moves: 2, openings: 2, replace: 1, blankAt: 1}},
	{"Media 4 the next generation on one survivor only", "S1", mediaBounds{without: oneSurvivor, moves: 2, openings: 2, replace: 1, blankAt: 1}},
	{"Media 4 a medium that was replaced counts again", "S1", mediaBounds{without: removedCounts, moves: 2, openings: 2, replace: 1, blankAt: 1}},
	{"Media 4 the new medium gets a header, not the chain", "media", mediaBounds{without: emptyNew, fails: 1, moves: 1, openings: 2, replace: 1, blankAt: 1}},
	{"Media 4 a survivor that is a generation behind does not count", "L1", mediaBounds{without: laggardOut, moves: 1, openings: 2, replace: 1, blankAt: 1}},
	{"Media 6 a copy on other hardware counts", "S1", mediaBounds{without: copiesCount, moves: 1, openings: 2, copies: true, blankAt: 2}},
	{"Media 7 close without levelling", "medium", mediaBounds{without: closeUnlevel, openings: 1}},
	{"Session: openings are not numbered", "media", mediaBounds{without: noRound, crashes: 2, openings: 3}},
	{"Session: openings are neither numbered nor named", "S1", mediaBounds{without: noRound | lateName, crashes: 2, openings: 3}},
	{"Session: the longest history, not the newest round's", "media", mediaBounds{without: byLength, crashes: 2, openings: 3}},
	{"Session: acts before its first batch is durable", "media", mediaBounds{without: lateName, crashes: 2, openings: 3}},
	{"Session: orphans have effect", "S1", mediaBounds{without: orphansCount, crashes: 2, openings: 3}},
	{"Batch: a part of one is read as whole", "S1", mediaBounds{without: halfBatch, electors: 2, crashes: 1, openings: 2}},
}

// wideMediaMutants take as long as whole searches: those of -full.
var wideMediaMutants = []mediaMutant{
	{"Media 2 the longest medium, though sessions are named", "media", mediaBounds{without: longest, crashes: 3, openings: 4, bits: 24}},
}
