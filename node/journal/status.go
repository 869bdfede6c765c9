package journal

import "time"

// firstEstimate is how many bytes a statement takes on a medium while too few have been
// recorded to tell; estimateFrom is how many tell.
const (
	firstEstimate = 1 << 10
	estimateFrom  = 50
)

// MediumStatus is one place of the set as it is now.
type MediumStatus struct {
	Member int
	Path   string
	// Attached says that the medium was opened. Fault is why it is not, or why it is
	// no longer written.
	Attached bool
	Fault    error
	// Bytes is the length of its records that are durable, Behind of those that wait.
	Bytes, Behind int64
	// LastSync is how long its last write and fsync took.
	LastSync time.Duration
	// Free is how many bytes its file system has left, -1 when that is not known. Fits is about
	// how many more statements the medium takes at the day's bytes a statement so far; who
	// calls alarms before it is 0.
	Free, Fits int64
}

// Status lists the three places, attached ones by their member number. It asks the attached
// media's file systems for their free space.
func (j *Journal) Status() []MediumStatus {
	j.mu.Lock()
	media, absent := j.media, j.absent
	each := j.perStatement()
	j.mu.Unlock()
	out := make([]MediumStatus, members)
	for _, m := range media {
		s := m.status()
		s.Free, s.Fits = -1, (maxFile-s.Bytes-s.Behind)/each
		if free, err := j.opt.files.Free(m.path); err == nil {
			s.Free, s.Fits = free, min(s.Fits, max(0, free-s.Behind)/each)
		}
		if s.Fault != nil {
			s.Fits = 0
		}
		out[m.member] = s
	}
	for i := range out {
		if !out[i].Attached && len(absent) > 0 {
			out[i] = MediumStatus{Member: i, Path: absent[0].Path, Fault: absent[0], Free: -1}
			absent = absent[1:]
		}
	}
	return out
}

// perStatement is called with mu held.
func (j *Journal) perStatement() int64 {
	if j.statements < estimateFrom {
		return firstEstimate
	}
	return max(1, j.bytes/int64(j.statements))
}
