package main

import (
	"testing"
	"time"

	"pointage/testnet/baselines/systems"
)

// eventually asks until met is true.
func eventually(t *testing.T, what string, met func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !met() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Errorf("not within 20 s: %s", what)
			return
		}
	}
}

func TestKilledCommandLeavesNoProcess(t *testing.T) {
	dir := openDir(t)
	s := startServing(t, systems.Etcd, dir)
	if err := s.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	if err := s.Wait(); err == nil {
		t.Error("killed, yet it ended well")
	}
	eventually(t, "every replica has ended", func() bool { return processesNaming(t, dir) == 0 })
}
