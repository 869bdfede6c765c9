// Package systems starts etcd and PostgreSQL as three replicas on this machine's
// loopback, each replica a process of its own with fsync on, and ends them.
package systems

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"pointage/testnet/baselines/load"
)

const (
	// Replicas is how many processes hold every value.
	Replicas = 3
	// startTimeout bounds a system's start, from the first file to the first
	// answer of every replica.
	startTimeout = 90 * time.Second
	// startAttempts is how often a start is tried when another program took a
	// port between our finding it free and the replica's opening it.
	startAttempts = 3
)

// The names of the systems, as reported.
const (
	Etcd       = "etcd"
	PostgreSQL = "postgresql"
)

// Names lists the systems in the order in which they are measured.
func Names() []string { return []string{Etcd, PostgreSQL} }

// System is three running replicas.
type System interface {
	// Version is the running program's own.
	Version() string
	// Connect opens a client; n spreads clients over the members that serve them.
	Connect(ctx context.Context, n int) (load.Client, error)
	// KillLeader kills, as kill -9 does, the replica that orders all writes.
	KillLeader(ctx context.Context) error
	// Close ends every process and removes every file.
	Close() error
}

// MissingError says that a program is not installed.
type MissingError struct{ What string }

func (e *MissingError) Error() string { return e.What }

// Start starts the system of that name with its files in a new directory
// below dir. A program that isn't installed is a *MissingError.
func Start(ctx context.Context, name, dir string) (System, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, startTimeout, fmt.Errorf("no answer within %s", startTimeout))
	defer cancel()
	var err error
	for range startAttempts {
		var s System
		if s, err = startOnce(ctx, name, dir); err == nil {
			return s, nil
		}
		if !errors.Is(err, errPortTaken) {
			break
		}
	}
	var missing *MissingError
	if errors.As(err, &missing) {
		return nil, err
	}
	return nil, fmt.Errorf("start %s: %w", name, err)
}

func startOnce(ctx context.Context, name, dir string) (System, error) {
	switch name {
	case Etcd:
		return startEtcd(ctx, dir)
	case PostgreSQL:
		return startPostgreSQL(ctx, dir)
	}
	return nil, fmt.Errorf("%q is not one of %v", name, Names())
}

// InMemory tells whether dir lies on a file system in memory, where fsync
// costs nothing and figures say little.
func InMemory(dir string) bool { return inMemory(dir) }

// makeDir creates the directory that one system owns.
func makeDir(dir, name string) (string, error) {
	own, err := os.MkdirTemp(dir, "baselines-"+name+"-")
	if err != nil {
		return "", fmt.Errorf("make directory: %w", err)
	}
	return own, nil
}
