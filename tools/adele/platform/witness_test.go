package platform

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/mod/sumdb/tlog"

	"pointage/node/anchor/anchortest"
)

func TestGrowthIsCosignedWithTheClocksTime(t *testing.T) {
	b := newBench(t)
	for _, step := range [][2]int64{{0, 300}, {300, 450}, {450, 450}, {450, 700}} {
		b.clock.Add(61_500)
		at := b.mustCosign(b.log, step[0], step[1])
		if want := time.UnixMilli(b.clock.Load()).Truncate(time.Second); !at.Equal(want) {
			t.Fatalf("cosigned at %s, the clock said %s", at, want)
		}
	}
	code, last := b.get("/checkpoint/" + origin)
	if code != http.StatusOK || !strings.HasPrefix(string(last), origin+"\n700\n") {
		t.Fatalf("last checkpoint: %d %q", code, last)
	}
}

func TestAnEmptyTreeIsCosignedOnlyWithItsOwnRoot(t *testing.T) {
	b := newBench(t)
	wrong := b.log.Sign(origin + "\n0\n" + b.log.Root(1).String() + "\n")
	if code, _, _ := b.post(body(0, nil, wrong)); code != http.StatusUnprocessableEntity {
		t.Fatalf("wrong empty root: %d", code)
	}
	right := b.log.Sign(origin + "\n0\n" + emptyRoot.String() + "\n")
	code, _, line := b.post(body(0, nil, right))
	if code != http.StatusOK {
		t.Fatalf("empty tree: %d %s", code, line)
	}
	b.verify(b.log, right, line)
	if code, _, _ := b.post(body(0, nil, wrong)); code != http.StatusConflict {
		t.Fatalf("another empty root: %d", code)
	}
	b.mustCosign(b.log, 0, 5)
}

// Every class of bad request, after the witness has cosigned size 450.
func TestBadSubmissionsAreRefused(t *testing.T) {
	b := newBench(t)
	b.mustCosign(b.log, 0, 300)
	b.mustCosign(b.log, 300, 450)
	good := submit(t, b.log, 450, 500)
	proof, _ := b.log.Prove(context.Background(), 450, 500)
	root := b.log.Root(500).String()
	foreign := anchortest.NewLog(t, origin, 500)
	stranger := anchortest.NewLog(t, "rehearsal/21015/epoch-0", 500)
	replace := func(old, by string) []byte { return bytes.Replace(good, []byte(old), []byte(by), 1) }
	signed := func(text string) []byte { return body(450, proof, b.log.Sign(text)) }

	for name, test := range map[string]struct {
		body []byte
		code int
	}{
		"empty":                       {nil, 400},
		"no old line":                 {[]byte("hello\n"), 400},
		"no empty line":               {[]byte("old 450\n"), 400},
		"old with leading zero":       {replace("old 450", "old 0450"), 400},
		"old with sign":               {replace("old 450", "old +450"), 400},
		"old negative":                {replace("old 450", "old -1"), 400},
		"old with two spaces":         {replace("old 450", "old  450"), 400},
		"old with tail":               {replace("old 450", "old 450 "), 400},
		"old with carriage return":    {replace("old 450\n", "old 450\r\n"), 400},
		"old beyond 63 bits":          {replace("old 450", "old 9223372036854775808"), 400},
		"old beyond size":             {replace("old 450", "old 501"), 400},
		"proof line not base64":       {replace("old 450\n", "old 450\n***\n"), 400},
		"proof line too short":        {replace("old 450\n", "old 450\nAAAA\n"), 400},
		"proof line with spare bits":  {replace("old 450\n", "old 450\n"+strings.Repeat("A", 42)+"B=\n"), 400},
		"64 proof lines":              {body(450, make([]tlog.Hash, 64), b.log.Checkpoint(500)), 400},
		"note cut short":              {good[:len(good)-1], 400},
		"note without signature":      {body(450, proof, []byte(origin+"\n500\n"+root+"\n")), 400},
		"note with a control byte":    {replace(origin, origin+"\n\x01"), 400},
		"tail after the note":         {append(bytes.Clone(good), "tail"...), 400},
		"size with leading zero":      {signed(origin + "\n0500\n" + root + "\n"), 400},
		"size negative":               {signed(origin + "\n-500\n" + root + "\n"), 400},
		"root too short":              {signed(origin + "\n500\nAAAA\n"), 400},
		"text of two lines":           {signed(origin + "\n500\n"), 400},
		"empty extension line":        {signed(origin + "\n500\n" + root + "\n\nmore\n"), 400},
		"text too long":               {signed(origin + "\n500\n" + root + "\n" + strings.Repeat("x", MaxText) + "\n"), 400},
		"unknown origin":              {body(0, nil, stranger.Checkpoint(500)), 404},
		"origin empty":                {body(0, nil, []byte("\n500\n"+root+"\n\n— x AAAAAAAA\n")), 404},
		"known origin, other key":     {submit(t, foreign, 450, 500), 403},
		"signature over another text": {replace("\n500\n", "\n501\n"), 403},
		"old too small":               {submit(t, b.log, 300, 500), 409},
		"old too large":               {submit(t, b.log, 460, 500), 409},
		"rollback":                    {submit(t, b.log, 0, 200), 409},
		"proof missing":               {body(450, nil, b.log.Checkpoint(500)), 422},
		"proof too long":              {body(450, append(proof[:len(proof):len(proof)], tlog.Hash{}), b.log.Checkpoint(500)), 422},
		"proof for the same size":     {body(450, proof, b.log.Checkpoint(450)), 422},
		"proof of a fork":             {submit(t, b.log.Fork(400, 100), 450, 500), 422},
		"body too large":              {append(bytes.Clone(good), bytes.Repeat([]byte("x"), MaxBody)...), 413},
	} {
		code, kind, answer := b.post(test.body)
		if code != test.code {
			t.Errorf("%s: %d %q, want %d", name, code, answer, test.code)
		}
		if code == http.StatusConflict && (kind != "text/x.tlog.size" || answer != "450\n") {
			t.Errorf("%s: conflict as %q %q", name, kind, answer)
		}
		if strings.Count(strings.TrimSuffix(answer, "\n"), "\n") > 0 {
			t.Errorf("%s: answer of several lines %q", name, answer)
		}
	}
	b.mustCosign(b.log, 450, 500)
}

func TestForksAndRollbacksAreRefusedAndKept(t *testing.T) {
	b := newBench(t)
	fork := b.log.Fork(200, 500)
	b.mustCosign(b.log, 0, 300)
	b.mustCosign(b.log, 300, 450)

	same := submit(t, fork, 450, 450)
	code, kind, answer := b.post(same)
	if code != http.StatusConflict || strings.HasPrefix(kind, "text/x.tlog.size") {
		t.Fatalf("same size, other root: %d %s %q", code, kind, answer)
	}
	older := submit(t, fork, 0, 300)
	if code, kind, answer := b.post(older); code != http.StatusConflict || kind != "text/x.tlog.size" || answer != "450\n" {
		t.Fatalf("older fork: %d %s %q", code, kind, answer)
	}
	longer := submit(t, fork, 450, 600)
	if code, _, _ := b.post(longer); code != http.StatusUnprocessableEntity {
		t.Fatalf("longer fork: %d", code)
	}
	for range 3 {
		b.post(same)
	}

	page := b.page("/checkpoints/" + origin)
	var verdicts []Verdict
	for i, r := range page.Records {
		verdicts = append(verdicts, r.Verdict)
		if r.Sequence != uint64(i) || r.Origin != origin {
			t.Errorf("record %d: %+v", i, r)
		}
	}
	if got, want := fmt.Sprint(verdicts), fmt.Sprint([]Verdict{Cosigned, Cosigned, Fork, Fork, Inconsistent}); got != want {
		t.Fatalf("kept %s, want %s", got, want)
	}
	if !bytes.Equal(page.Records[2].Body, same) || !bytes.Equal(page.Records[4].Body, longer) {
		t.Error("the evidence is not what was shown")
	}
	if page.Log.Forks != 2 || page.Log.Refused != 3 || page.Log.Cosigned != 2 || page.Log.Size != 450 {
		t.Errorf("log: %+v", page.Log)
	}
	var health Health
	if code, raw := b.get("/health"); code != http.StatusOK || json.Unmarshal(raw, &health) != nil || health.Forks != 2 {
		t.Errorf("health: %d %+v", code, health)
	}
}

// A checkpoint whose size was not cosigned yet is stale; once that size is cosigned with
// another root, the same bytes are a fork.
func TestStaleCheckpointIsKeptAgainWhenItTurnsOutToBeAFork(t *testing.T) {
	b := newBench(t)
	b.mustCosign(b.log, 0, 300)
	early := submit(t, b.log.Fork(100, 500), 0, 450)
	b.post(early)
	b.mustCosign(b.log, 300, 450)
	b.post(early)
	page := b.page("/checkpoints/" + origin)
	if n := len(page.Records); n != 4 || page.Records[1].Verdict != Stale || page.Records[3].Verdict != Fork {
		t.Fatalf("%d records: %+v", n, page.Records)
	}
}

func TestUnsignedSubmissionsAreKeptWithinTheirLimit(t *testing.T) {
	b := newBench(t)
	const sent = MaxUnsigned + 20
	for i := range sent {
		b.clock.Add(1000)
		stranger := fmt.Appendf(nil, "old 0\n\nstranger/%d\n1\n%s\n\n— x AAAAAAAA\n", i, emptyRoot)
		if code, _, _ := b.post(stranger); code != http.StatusNotFound {
			t.Fatalf("stranger %d: %d", i, code)
		}
	}
	var kept []Record
	for path := "/unsigned"; path != ""; {
		page := b.page(path)
		kept = append(kept, page.Records...)
		path = ""
		if page.Next != nil {
			path = fmt.Sprintf("/unsigned?from=%d", *page.Next)
		}
	}
	if len(kept) != MaxUnsigned || kept[0].Origin != "stranger/20" || kept[0].Verdict != Unknown {
		t.Fatalf("%d kept, first %+v", len(kept), kept[0])
	}
}

func TestAFloodOfRepeatsDoesNotHoldUpTheLogItself(t *testing.T) {
	b := newBench(t)
	b.mustCosign(b.log, 0, 300)
	again := submit(t, b.log, 300, 300)
	var throttled int
	for range MaxRepeatsBurst + 50 {
		if code, _, _ := b.post(again); code == http.StatusTooManyRequests {
			throttled++
		}
	}
	if throttled != 50 {
		t.Errorf("%d throttled, want 50", throttled)
	}
	b.mustCosign(b.log, 300, 450)
	if page := b.page("/checkpoints/" + origin); len(page.Records) != 2 {
		t.Errorf("%d records for two checkpoints", len(page.Records))
	}
}

func TestConcurrentExtensionsNeverRollBack(t *testing.T) {
	b := newBench(t)
	b.mustCosign(b.log, 0, 300)
	fork := b.log.Fork(300, 300)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := map[int64]string{}
	for i := range int64(32) {
		log := b.log
		if i%2 == 1 {
			log = fork
		}
		size := 301 + i
		sent, root := submit(t, log, 300, size), log.Root(size).String()
		wg.Go(func() {
			if code, _, _ := b.post(sent); code == http.StatusOK {
				mu.Lock()
				defer mu.Unlock()
				won[size] = root
			}
		})
	}
	wg.Wait()
	if len(won) != 1 {
		t.Fatalf("%d of 32 extensions of one size were cosigned: %v", len(won), won)
	}
	page := b.page("/checkpoints/" + origin)
	if root := won[page.Log.Size]; root == "" || root != page.Log.Root {
		t.Fatalf("cosigned %v, holds %+v", won, page.Log)
	}
	if page.Log.Cosigned != 2 || page.Log.Refused != 31 {
		t.Fatalf("kept %d and %d", page.Log.Cosigned, page.Log.Refused)
	}
}

// The machine loses power after every answer: what was answered must be there.
func TestWhatWasAnsweredSurvivesAPowerCut(t *testing.T) {
	b := newBench(t)
	fork := b.log.Fork(10, 600)
	for old, size := int64(0), int64(20); size <= 200; old, size = size, size+20 {
		b.mustCosign(b.log, old, size)
		evidence := submit(t, fork, size, size)
		if code, _, _ := b.post(evidence); code != http.StatusConflict {
			t.Fatalf("fork at %d: %d", size, code)
		}
		crashed := b.files.CrashClone(vfs.CrashCloneCfg{})
		if err := b.server.Close(); err != nil {
			t.Fatal(err)
		}
		b.files = crashed
		b.open()
		page := b.page("/checkpoints/" + origin)
		last := page.Records[len(page.Records)-1]
		if page.Log.Size != size || page.Log.Root != b.log.Root(size).String() || !bytes.Equal(last.Body, evidence) {
			t.Fatalf("after the cut at %d: %+v, last record %+v", size, page.Log, last)
		}
	}
}

func TestClockSetBackIsNotAttested(t *testing.T) {
	b := newBench(t)
	first := b.mustCosign(b.log, 0, 300)
	b.clock.Add(-3_000)
	if at := b.mustCosign(b.log, 300, 310); !at.Equal(first) {
		t.Errorf("cosigned at %s after %s", at, first)
	}
	b.clock.Add(-3_600_000)
	if code, _, _ := b.post(submit(t, b.log, 310, 320)); code != http.StatusServiceUnavailable {
		t.Errorf("an hour back: %d", code)
	}
	b.clock.Add(3_610_000)
	b.mustCosign(b.log, 310, 320)
}

func TestLogsDoNotKnowOfEachOther(t *testing.T) {
	b := newBench(t)
	other := anchortest.NewLog(t, "rehearsal/21015/epoch-0", 50)
	b.extra = []Log{{Origin: other.Origin, VKey: other.VKey}}
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	b.open()
	b.mustCosign(b.log, 0, 300)
	b.mustCosign(other, 0, 50)
	var logs []LogStatus
	if _, raw := b.get("/logs"); json.Unmarshal(raw, &logs) != nil || len(logs) != 2 || logs[0].Size != 300 || logs[1].Size != 50 {
		t.Fatalf("logs: %+v", logs)
	}
}

func TestClosedServerAnswersUnavailable(t *testing.T) {
	b := newBench(t)
	b.mustCosign(b.log, 0, 300)
	if err := b.server.Close(); err != nil {
		t.Fatal(err)
	}
	if code, _, _ := b.post(submit(t, b.log, 300, 450)); code != http.StatusServiceUnavailable {
		t.Errorf("add-checkpoint: %d", code)
	}
	if code, _ := b.get("/health"); code != http.StatusServiceUnavailable {
		t.Errorf("health: %d", code)
	}
	b.open()
	b.mustCosign(b.log, 300, 450)
}

func FuzzSubmission(f *testing.F) {
	f.Add([]byte("old 0\n\nexample/log\n1\nAAAA\n\n— x AAAA\n"))
	f.Add([]byte("old 12\nPlRNCrwHpqhGrupue0L7gxbjbMiKA9temvuZZDDpkaw=\n\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		sub, err := parseSubmission(data)
		if err != nil {
			return
		}
		if again := body(sub.old, sub.proof, sub.note); !bytes.Equal(again, data) {
			t.Fatalf("%q reads back as %q", data, again)
		}
		if _, err := parseCheckpoint(string(sub.note)); err != nil {
			return
		}
		if originOf(sub.note) == "" {
			t.Fatalf("a checkpoint without origin: %q", data)
		}
	})
}
