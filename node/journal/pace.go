package journal

import "time"

// Pacing: while the reader of Next has a batch on its way to the group, what is signed now could only wait behind it.
// So it gathers instead, and shares a signature, an fsync and a place in the group with what comes meanwhile.
const (
	// paceFrom is how many batches the reader must have before it is waited for; beyond paceTo
	// it is far behind (no group answers), and nobody waits for it.
	paceFrom, paceTo = 1, 8
	// maxPace bounds the wait.
	maxPace = 10 * time.Millisecond
)

// pace waits for the reader while that costs nobody anything.
func (j *Journal) pace() {
	var timeout <-chan time.Time
	for {
		j.mu.Lock()
		waiting, moved := len(j.chain)-int(j.reader), j.moved
		j.mu.Unlock()
		if moved == nil || waiting < paceFrom || waiting > paceTo {
			return
		}
		if timeout == nil {
			timeout = time.After(maxPace)
		}
		select {
		case <-moved:
		case <-timeout:
			return
		case <-j.closing:
			return
		case <-j.failed:
			return
		}
	}
}

// readTo notes under mu that a reader is done with what comes before the cursor.
func (j *Journal) readTo(c Cursor) {
	switch {
	case j.moved == nil:
		j.reader = c
	case c > j.reader:
		j.reader = c
		close(j.moved)
	default:
		return
	}
	j.moved = make(chan struct{})
}
