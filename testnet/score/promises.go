package score

import (
	"regexp"
	"strconv"
)

// tests is `go test` with the tests of a name in a package, said aloud.
func tests(pkg, names string, more ...string) []string {
	return append([]string{"go", "test", pkg, "-run", names, "-v", "-count=1"}, more...)
}

// passed counts the tests and their cases that passed: each holds what its name says.
func passed(reach Bound) Figure {
	return Figure{Name: "tests and cases passed", Pattern: regexp.MustCompile(`(?m)^ *--- PASS`), Fold: Count, Reach: reach}
}

// figure reads a number that stands in a line.
func figure(name, pattern string, fold func([]float64) float64, reach, keep Bound) Figure {
	return Figure{Name: name, Pattern: regexp.MustCompile(pattern), Fold: fold, Reach: reach, Keep: keep}
}

// inFull is a figure of which the quick profile measures a share.
func inFull(f Figure, whole Bound) Figure {
	f.InFull = whole
	return f
}

const (
	rightsPkg   = "./ledger/rights"
	modelTests  = "TestEveryReachable|TestMediaKeep|TestBroken|TestMutants|TestEveryRuleHasAMutant"
	statesOf    = `: .+? (\d+) states +\d+ steps`
	mediaFaults = "Fault|FailingMedium|JournalStops"
	storeFaults = "DiskThatFails|FullDisk|ReadThatFails"
)

// damages are bits flipped and files cut short.
var damages = figure("damages", `(\d+) damages`, Sum, nil, AtLeast(60))

// Promises are the measures of reliability and security (SECURITY.md says who attacks), in their order.
var Promises = []Row{
	{"Q1", "states of rights, media and proxies explored, with a mutant for every rule", "60 million, 0 violations, every mutant caught", []Part{{
		Quick: tests(rightsPkg, modelTests), Full: tests(rightsPkg, modelTests, "-full", "-timeout", "60m"),
		Figures: []Figure{inFull(figure("states", statesOf, Sum, nil, AtLeast(2.2e6)), AtLeast(60e6)), passed(nil)},
	}}},
	{"Q2", "election days a minute on the protocol alone: 25 bureaux, 20,000 electors, chaos, then healing", "200 a minute; S1, S3, L1, L2 hold; the seed replays", []Part{{
		Quick: tests(rightsPkg, "TestSimulatedDays$|TestSeedReplays", "-days", "100"), Full: tests(rightsPkg, "TestSimulatedDays$|TestSeedReplays", "-days", "2000", "-timeout", "30m"),
		Figures: []Figure{figure("days a minute", `: (\d+) a minute on`, Largest, AtLeast(200), nil)},
	}}},
	{"Q3", "faulted days of real Raft in virtual time, histories checked", "0 lost, 0 twice, below 10 % of outcomes unknown; in full 500 days of 5, 25 of 25", []Part{{
		Quick: tests("./consensus", "TestFaultedDays", "-days", "50", "-largedays", "2", "-day", "10m", "-timeout", "60m"),
		Full:  tests("./consensus", "TestFaultedDays", "-days", "500", "-largedays", "25", "-day", "30m", "-timeout", "3h"),
		Figures: []Figure{
			figure("days", `: (\d+) days \(`, Sum, nil, AtLeast(52)), figure("faults and crashes", `(\d+) (?:faults|crashes)`, Sum, nil, nil),
			figure("% unknown", `([\d.]+) % unknown`, Largest, AtMost(10), AtMost(5)),
		},
	}}},
	{"Q4", "power cuts at every write, fsync and rename of the media", "20,000 images, 0 acknowledged lost", []Part{{
		Quick: tests("./node/journal", "PowerCut|TestAMissingFsync|TestKill"), Full: tests("./node/journal", "PowerCut|TestAMissingFsync|TestKill", "-full", "-timeout", "30m"),
		Figures: []Figure{inFull(figure("images", `(\d+) images`, Sum, nil, AtLeast(5000)), AtLeast(20000)), figure("appends acknowledged before a kill", `(\d+) acknowledged appends`, Sum, nil, nil)},
	}}},
	{"Q5", "combinations of media: present, absent, stale, corrupt, foreign, clone, older generation", "all 343, opened rightly or refused by name", []Part{{
		Quick:   tests("./node/journal", "TestEveryCombination"),
		Figures: []Figure{figure("combinations", `(\d+) of them without`, Smallest, AtLeast(343), AtLeast(343))},
	}}},
	{"Q6", "disk full, I/O error, read-only, at every write", "no green light, a clear message, the other media go on", []Part{
		{Quick: tests("./node/journal", mediaFaults), Figures: []Figure{passed(AtLeast(10))}},
		{Quick: tests("./node/store", storeFaults), Full: tests("./node/store", storeFaults, "-full", "-timeout", "30m"), Figures: []Figure{passed(AtLeast(5))}},
		{Quick: tests("./consensus", "TestDisk|StalledDisk|DiskHangs|TestGroupCanBeClosed"), Figures: []Figure{passed(AtLeast(4))}},
		{Quick: tests("./node", "TestAStoppedJournal|TestAFullDisk"), Figures: []Figure{passed(AtLeast(2))}},
	}},
	{"Q7", "bits flipped and files cut short in journal, Pebble and bolt files", "1,000 or more in full; found, never silent, rebuilt", []Part{
		{Quick: tests("./node/store", "TestBitFlipped|TestDamagedSnapshot"), Full: tests("./node/store", "TestBitFlipped|TestDamagedSnapshot", "-full", "-timeout", "30m"), Figures: []Figure{damages}},
		{Quick: tests("./node/journal", "TestADamagedByte|TestRecords|TestAnEarlierRecord"), Full: tests("./node/journal", "TestADamagedByte|TestRecords|TestAnEarlierRecord", "-full"), Figures: []Figure{damages}},
		{Quick: tests("./consensus", "TestDamagedStore|TestEntryThatRotted|TestStoreThatWentBack"), Figures: []Figure{damages}},
	}},
	{"Q8", "fuzzing of every decoder, and vectors of malformed input", "1 million executions each in full; 40 kinds of vectors or more", []Part{
		{Quick: tests("./ledger", "TestVectors"), Figures: []Figure{passed(AtLeast(40))}},
		{Quick: fuzz("50000", "./ledger"), Full: fuzz("1000000", "./..."), Figures: []Figure{figure("decoders", `(?m)^\S+ Fuzz\w+ +(?:\d+) executions`, Count, nil, AtLeast(14)), inFull(figure("executions of each at least", `(\d+) executions`, Smallest, nil, AtLeast(50000)), AtLeast(1e6))}},
	}},
	{"Q9", "forged or altered messages: every field of every kind changed", "all refused, and the sender named", []Part{
		{Quick: tests("./ledger", "AnyField|AnyChangedByte|TestEveryChangedByte"), Figures: []Figure{passed(AtLeast(6))}},
		{Quick: tests(rightsPkg, "TestAlteredExtract|TestEveryFieldSigned|TestMessagesOfOneKind"), Figures: []Figure{passed(AtLeast(3))}},
		{Quick: tests("./node/pollbook", "TestChanged|TestFalse"), Figures: []Figure{passed(AtLeast(6))}},
	}},
	{"Q10", "a whole day's messages replayed in any order", "the view of rights is the same", []Part{
		{Quick: tests("./ledger", "Replayed|AnyOrder|OrderOfArrival"), Figures: []Figure{passed(AtLeast(4))}},
		{Quick: tests(rightsPkg, "TestDayReplayedShuffled"), Figures: []Figure{passed(AtLeast(1))}},
		{Quick: tests("./node/pollbook", "TestADaysMessages"), Figures: []Figure{passed(AtLeast(2))}},
	}},
	{"Q11", "forks, clones and media put back", "every one in the report with both records; 0 accusations on clean days", []Part{
		{Quick: tests("./node/heads", "Test"), Figures: []Figure{passed(AtLeast(15))}},
		{Quick: day("keys-cloned", 11), Figures: []Figure{figure("double admissions reported", `\((\d+) reported\)`, Sum, AtLeast(1), nil)}},
		{Quick: day("rolled-back", 11), Figures: []Figure{figure("double admissions reported", `\((\d+) reported\)`, Sum, nil, nil)}},
	}},
	{"Q12", "a malicious leader: omits, reorders, duplicates, says two things", "4 kinds x 20 seeds; nobody twice, alarm, proof", []Part{{
		Quick: tests("./node/pollbook", "TestNoMaliciousLeader"), Figures: []Figure{passed(AtLeast(5))},
	}, {Quick: tests("./node/heads", "LeftOut|Differs|Answers|Words"), Figures: []Figure{passed(AtLeast(2))}}}},
	{"Q13", "a stranger on the network; a member that floods", "refused before any stream; the flood cut off and named, home electors served", []Part{
		{Quick: tests("./transport", "Stranger|Flood|Bounded|Refused"), Figures: []Figure{passed(AtLeast(8))}},
		{Quick: tests("./consensus", "Flood|Stranger|DoesNotRead|AreFew"), Figures: []Figure{passed(AtLeast(4))}},
		{Quick: tests("./node", "TestABureauThatFloods|TestSlowClients|TestConnectionsBeyond"), Figures: []Figure{passed(AtLeast(3))}},
	}},
	{"Q14", "clocks wrong by an hour, a day, jumping back, stopped", "the same view of rights at the end", []Part{
		{Quick: tests("./consensus", "TestNothingReadsTheTimeOfDay"), Figures: []Figure{passed(AtLeast(1))}},
		{Quick: tests(rightsPkg, "TestNoTimeBrings|TestSmallWildDays"), Figures: []Figure{passed(AtLeast(2))}},
	}},
	{"Q15", "wrong passphrase, wrong election, another commune's or an altered file", "10 kinds; one line that says what to do, nothing touched", []Part{{
		Quick: tests("./node", "TestWrongFiles|TestWrongPlaces|TestAWrongConfiguration|TestInitThatFails"), Figures: []Figure{passed(AtLeast(10))},
	}}},
	{"Q16", "the screens: no session, stolen cookie, foreign origin, form of another site, script in a name, 10 MB", "all refused", []Part{
		{Quick: tests("./node/web", "TestStrangersAreRefused|TestWithoutASession|TestAStolenCookie|TestASignIn|TestCookieAndHeaders|TestWrongSecrets|TestAScriptInAName"), Figures: []Figure{passed(AtLeast(7))}},
		{Quick: tests("./node", "TestABodyOfTenMegabytes|TestPagesOfStrangers|TestOnlyWhoHasTheSecret"), Figures: []Figure{passed(AtLeast(3))}},
	}},
	{"Q17", "every elector's names and numbers, searched in what a day leaves", "0 found", []Part{
		{Quick: tests("./node", "TestNoElectorIsFound"), Figures: []Figure{passed(AtLeast(1))}},
		{Quick: tests("./node/web", "TestNobodyIsFoundInTheLog|TestAnAccountComesBack"), Figures: []Figure{passed(AtLeast(2))}},
	}},
	{"Q18", "races, and goroutines left behind", "0 in all packages with goroutines", []Part{
		{
			Quick:   []string{"go", "test", "-race", "-count=1", "./node/heads", "./node/anchor", "./transport", "./node/journal", "./node/pollbook"},
			Full:    []string{"go", "test", "-race", "-count=1", "-timeout", "60m", "./node/...", "./transport/...", "./consensus/...", "./testnet/...", "./tools/...", "./ledger/..."},
			Figures: []Figure{{Name: "packages without a race", Pattern: regexp.MustCompile(`(?m)^ok`), Fold: Count, Reach: AtLeast(5)}},
		},
		{Quick: tests("./node", "TestNothingRunsAfterClose|LeavesNothingRunning"), Figures: []Figure{passed(AtLeast(2))}},
	}},
}

// fuzz is every decoder of packages, so many executions each.
func fuzz(times, packages string) []string {
	return []string{"go", "run", "./testnet", "fuzz", "--times", times, packages}
}

// day is a commune with one fault.
func day(fault string, seed int) []string {
	return []string{"go", "run", "./testnet", "--bureaux", "5", "--electors", "1500", "--day", "20s", "--seed", strconv.Itoa(seed), "--faults", fault}
}
