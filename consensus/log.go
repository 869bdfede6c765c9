package consensus

import (
	"context"
	"io"
	"log"
	"log/slog"
	"sync"
	"time"

	"github.com/hashicorp/go-hclog"
)

// repeatAfter is how long the same message of Raft is held back: it repeats itself with every heartbeat.
const repeatAfter = time.Minute

// quietLog passes what hashicorp/raft has to say on to a slog.Logger: its warnings and errors once a minute each, at info
// level (what needs a person is logged by this package), the rest at debug level.
type quietLog struct {
	logger  *slog.Logger
	implied []any
	name    string
	memory  *logMemory
}

type logMemory struct {
	mu   sync.Mutex
	last map[string]time.Time // Raft's messages are constants: some tens of them
}

func newQuietLog(logger *slog.Logger) hclog.Logger {
	return &quietLog{logger: logger, memory: &logMemory{last: map[string]time.Time{}}}
}

func (m *logMemory) repeated(msg string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if last, ok := m.last[msg]; ok && time.Since(last) < repeatAfter {
		return true
	}
	m.last[msg] = time.Now()
	return false
}

// Log is part of hclog.Logger.
func (q *quietLog) Log(level hclog.Level, msg string, args ...any) {
	to := slog.LevelDebug
	if level >= hclog.Warn && !q.memory.repeated(msg) {
		to = slog.LevelInfo
	}
	if !q.logger.Enabled(context.Background(), to) {
		return
	}
	all := append([]any{slog.String("event", msg)}, q.implied...)
	q.logger.Log(context.Background(), to, "raft reports", append(all, args...)...)
}

func (q *quietLog) Trace(string, ...any)           {}
func (q *quietLog) Debug(msg string, a ...any)     { q.Log(hclog.Debug, msg, a...) }
func (q *quietLog) Info(msg string, a ...any)      { q.Log(hclog.Info, msg, a...) }
func (q *quietLog) Warn(msg string, a ...any)      { q.Log(hclog.Warn, msg, a...) }
func (q *quietLog) Error(msg string, a ...any)     { q.Log(hclog.Error, msg, a...) }
func (q *quietLog) IsTrace() bool                  { return false }
func (q *quietLog) IsDebug() bool                  { return q.logger.Enabled(context.Background(), slog.LevelDebug) }
func (q *quietLog) IsInfo() bool                   { return q.IsDebug() }
func (q *quietLog) IsWarn() bool                   { return true }
func (q *quietLog) IsError() bool                  { return true }
func (q *quietLog) ImpliedArgs() []any             { return q.implied }
func (q *quietLog) Name() string                   { return q.name }
func (q *quietLog) SetLevel(hclog.Level)           {}
func (q *quietLog) GetLevel() hclog.Level          { return hclog.Debug }
func (q *quietLog) ResetNamed(string) hclog.Logger { return q }
func (q *quietLog) Named(string) hclog.Logger      { return q }

// With is part of hclog.Logger.
func (q *quietLog) With(args ...any) hclog.Logger {
	with := *q
	with.implied = append(append([]any{}, q.implied...), args...)
	return &with
}

// StandardLogger and StandardWriter are part of hclog.Logger; Raft uses neither.
func (q *quietLog) StandardLogger(*hclog.StandardLoggerOptions) *log.Logger {
	return log.New(io.Discard, "", 0)
}

func (q *quietLog) StandardWriter(*hclog.StandardLoggerOptions) io.Writer { return io.Discard }
