package journal

import "testing"

// The forecast is what the medium then takes: that many more statements need about its free bytes.
func TestStatusForecastsHowManyStatementsFit(t *testing.T) {
	d, o := onDisks(t, 220)
	j := reopen(t, o)
	level(t, j)
	for _, s := range j.Status() {
		if s.Free != roomOnDisks || s.Fits != roomOnDisks/firstEstimate {
			t.Errorf("before anything was recorded: %+v", s)
		}
	}
	record := func(n int) (bytes int64) {
		level(t, j)
		before := j.Status()[0].Bytes
		for i := range n {
			appended1(t, j, count(i))
		}
		level(t, j)
		return j.Status()[0].Bytes - before
	}
	record(2 * estimateFrom)
	fits := j.Status()[0].Fits
	const more = 100
	if each := record(more) / more; fits < roomOnDisks/each*95/100 || fits > roomOnDisks/each*105/100 {
		t.Errorf("%d should fit, %d do", fits, roomOnDisks/each)
	}
	fits = j.Status()[0].Fits
	closed(t, j)
	j = reopen(t, only(o, 0, 1))
	if s := j.Status(); s[0].Fits < fits*95/100 || s[0].Fits > fits*105/100 || s[2].Free != -1 || s[2].Fits != 0 {
		t.Errorf("opened again: %+v, before %d", s, fits)
	}
	d.unplug(1)
	if s := j.Status()[1]; s.Free != -1 || s.Fits <= fits {
		t.Errorf("where the free space is not known its own limit is: %+v", s)
	}
	d.plug(1)
	m := j.written()[1]
	m.mu.Lock()
	m.synced = maxFile - 10*firstEstimate
	m.mu.Unlock()
	if s := j.Status()[1]; s.Fits > 100 {
		t.Errorf("near the limit of its file: %+v", s)
	}
	m.fail(errGone)
	if s := j.Status()[1]; s.Fits != 0 {
		t.Errorf("failed: %+v", s)
	}
}

func TestTheMachineSaysWhatIsFree(t *testing.T) {
	if n, err := (machineFiles{}).Free(t.TempDir()); err != nil || n <= 0 {
		t.Errorf("%d bytes, %v", n, err)
	}
	if _, err := (machineFiles{}).Free("/not/there"); err == nil {
		t.Error("there is room in a directory that is not there")
	}
}
