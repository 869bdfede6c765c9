package journal

import (
	"fmt"
	"sync"
	"time"
)

// medium is one attached member of the set.
type medium struct {
	place, member int
	path          string
	// hardware is what the caller says of the piece of hardware.
	hardware string
	header   *header
	seal     *sealer
	f        file
	// limit is how far a reader of it goes, 0 for the whole file.
	limit int64
	// end and number are where the next record goes. Opening owns them, then the writer.
	end    int64
	number uint64
	// buf is what run writes, at most about maxWrite bytes.
	buf []byte
	// onFault is called once, when the medium fails.
	onFault func(*medium)

	mu sync.Mutex
	// queue waits for the medium's goroutine, of which wake has news; ending asks it to end.
	queue  []job
	waits  int64 // bytes that are queued or being written
	ending bool
	err    error
	synced int64
	took   time.Duration
	wake   chan struct{}
	// ended is closed when run has ended and closed the file, with closing's error.
	ended   chan struct{}
	closing error
}

// job is a record on its way to one medium, or, without a plain text, only an fsync.
type job struct {
	plain  []byte
	nonce  nonce
	number uint64
	size   int64
	// done gets one answer, if it is there; it has room for it.
	done chan<- error
}

// enqueue gives the record its place on the medium; false when the medium has failed.
func (m *medium) enqueue(plain []byte, n nonce, done chan<- error) bool {
	good, fresh := m.enter(job{plain, n, m.number, int64(frameLen(plain)), done})
	if fresh {
		m.onFault(m)
	}
	return good
}

// flush answers when all that was enqueued before is fsync'ed; false when the medium has failed.
func (m *medium) flush(done chan<- error) bool {
	good, _ := m.enter(job{done: done})
	return good
}

func (m *medium) enter(x job) (good, fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case m.err != nil:
		return false, false
	case m.end+x.size > maxFile:
		m.giveUp(fmt.Errorf("its records have %d bytes, at most %d", m.end, maxFile))
		return false, true
	case m.waits > 0 && m.waits+x.size > maxBehind:
		m.giveUp(fmt.Errorf("it is %d bytes behind, at most %d", m.waits, maxBehind))
		return false, true
	}
	m.queue = append(m.queue, x)
	if x.plain != nil {
		m.end, m.number, m.waits = m.end+x.size, m.number+1, m.waits+x.size
	}
	m.signal()
	return true, false
}

// giveUp is called with mu held: nothing more is written.
func (m *medium) giveUp(cause error) {
	m.err = cause
	m.signal()
}

// fail gives the medium up; fresh says that nobody had.
func (m *medium) fail(cause error) (fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.err != nil {
		return false
	}
	m.giveUp(cause)
	return true
}

// signal is called with mu held.
func (m *medium) signal() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// run writes what is queued, all that waits under one fsync, until it is asked to end and
// nothing waits. What waits when the medium fails is not written.
func (m *medium) run() {
	defer close(m.ended)
	defer func() { m.closing = m.f.Close() }()
	for {
		jobs, at, err, end := m.take()
		if len(jobs) == 0 {
			if end {
				return
			}
			<-m.wake
			continue
		}
		if err == nil {
			start := time.Now()
			err = m.write(jobs, at)
			if m.wrote(jobs, err, time.Since(start)) {
				m.onFault(m)
			}
		}
		for _, d := range jobs {
			if d.done != nil {
				d.done <- err
			}
		}
	}
}

// take is the next jobs for one fsync, and where they go. With an error they are not to be
// written any more: all that is left.
func (m *medium) take() (jobs []job, at int64, err error, end bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	n, size := 0, int64(0)
	for n < len(m.queue) && (n == 0 || size+m.queue[n].size <= maxWrite || m.err != nil) {
		size += m.queue[n].size
		n++
	}
	jobs, m.queue = m.queue[:n:n], m.queue[n:]
	if m.err != nil {
		m.waits -= size
	}
	return jobs, m.synced, m.err, m.ending
}

func (m *medium) write(jobs []job, at int64) error {
	m.buf = m.buf[:0]
	for _, j := range jobs {
		if j.plain != nil {
			m.buf = m.seal.appendFrame(m.buf, j.number, j.nonce, j.plain)
		}
	}
	if len(m.buf) > 0 {
		if _, err := m.f.WriteAt(m.buf, at); err != nil {
			return err
		}
	}
	return m.f.Sync()
}

// wrote notes how a write went. After a fault nothing more is written: what is on the medium
// past synced is unknown, and the next reading finds out. fresh says that the medium has failed
// just now.
func (m *medium) wrote(jobs []job, err error, took time.Duration) (fresh bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.took = took
	for _, j := range jobs {
		m.waits -= j.size
		if err == nil {
			m.synced += j.size
		}
	}
	if fresh = err != nil && m.err == nil; fresh {
		m.giveUp(err)
	}
	return fresh
}

// endWhenLevel asks the goroutine to end when all is written.
func (m *medium) endWhenLevel() {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ending = true
	m.signal()
}

// level says whether all that was enqueued is fsync'ed.
func (m *medium) level() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err == nil && m.synced == m.end
}

func (m *medium) failure() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.err
}

// readable says whether bytes up to end are on the medium.
func (m *medium) readable(end int64) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return end <= m.synced
}

// read is the plain text of the record of n bytes at off.
func (m *medium) read(off int64, n int32) ([]byte, error) {
	b := make([]byte, n)
	if got, err := m.f.ReadAt(b, off); got < len(b) {
		return nil, fmt.Errorf("medium %d (%s): read record at %d: %w", m.place, m.path, off, err)
	}
	_, plain, _, ok := m.seal.openFrame(b)
	if !ok {
		return nil, fmt.Errorf("medium %d (%s): record at %d no longer opens", m.place, m.path, off)
	}
	return plain, nil
}

func (m *medium) status() MediumStatus {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := MediumStatus{
		Member: m.member, Path: m.path, Attached: true, Bytes: m.synced, Behind: m.waits, LastSync: m.took,
	}
	if m.err != nil {
		s.Fault = &MediumError{Place: m.place, Path: m.path, Problem: Failed, Err: m.err}
	}
	return s
}
