package transport

import (
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// startMesh starts n machines that all know one another, and waits until all are connected.
func startMesh(t testing.TB, n int, listen string) []*Host {
	t.Helper()
	var numbers []int
	for i := 1; i <= n; i++ {
		numbers = append(numbers, i)
	}
	members := names(t, numbers...)
	hosts := make([]*Host, n)
	for i := range hosts {
		key, _ := testKey(t, i+1)
		h, err := Start(Config{Key: key, Listen: []string{listen}, Members: members})
		if err != nil {
			t.Fatal(err)
		}
		hosts[i] = h
		members[i].Addrs = h.Addrs()
	}
	for i, h := range hosts {
		for _, m := range members[i+1:] {
			if err := h.SetAddrs(m.Peer, m.Addrs); err != nil {
				t.Fatal(err)
			}
		}
	}
	timeout := time.After(3 * patience)
	for _, h := range hosts {
		for len(h.Connected()) < n-1 {
			select {
			case <-timeout:
				t.Fatalf("%d of %d connected", len(h.Connected()), n-1)
			case <-time.After(10 * time.Millisecond):
			}
		}
	}
	return hosts
}

func closeAll(t testing.TB, hosts []*Host) {
	t.Helper()
	for _, h := range hosts {
		if err := h.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestCloseLeavesNoGoroutine(t *testing.T) {
	// What libp2p starts once a process is started before the count.
	for _, listen := range []string{tcpLoopback, quicLoopback} {
		closeAll(t, startMesh(t, 2, listen))
	}
	before := runtime.NumGoroutine()
	for _, listen := range []string{tcpLoopback, quicLoopback} {
		hosts := startMesh(t, 4, listen)
		ln, err := hosts[0].Listen(echo)
		if err != nil {
			t.Fatal(err)
		}
		c := dial(t, hosts[1], hosts[0].Self(), echo)
		if _, err := c.Write([]byte("open when closed")); err != nil {
			t.Fatal(err)
		}
		if _, err := ln.Accept(); err != nil {
			t.Fatal(err)
		}
		closeAll(t, hosts)
		if _, err := ln.Accept(); err == nil {
			t.Error("Accept after the host's Close succeeded")
		}
	}
	await(t, "goroutines gone", func() bool { return runtime.NumGoroutine() <= before })
}

func TestDuplicateConnectionsAreClosed(t *testing.T) {
	hosts := startMesh(t, 4, tcpLoopback)
	defer closeAll(t, hosts)
	await(t, "one connection for each pair", func() bool {
		for _, h := range hosts {
			for _, s := range h.Status() {
				if s.Links != 1 {
					return false
				}
			}
		}
		return true
	})
}

// BenchmarkMesh measures what idle machines in one process cost, fully connected: bytes resident and goroutines for each
// connection's end and machine, and CPU for each second and machine.
func BenchmarkMesh(b *testing.B) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		for _, n := range []int{2, 30} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				began := time.Now()
				hosts := startMesh(b, n, listen)
				defer closeAll(b, hosts)
				b.ReportMetric(time.Since(began).Seconds(), "s-to-mesh")
				b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/host")
				runtime.GC()
				b.ReportMetric(resident(b), "MiB-resident")
				const idle = 5 * time.Second
				used := cpu(b)
				<-time.After(idle)
				b.ReportMetric((cpu(b)-used).Seconds()/idle.Seconds(), "cores-idle")
			})
		}
	}
}

// resident returns the process's resident memory in MiB.
func resident(b *testing.B) float64 {
	b.Helper()
	text, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(text), "VmRSS:")
	var kib float64
	if _, err := fmt.Sscan(rest, &kib); err != nil {
		b.Fatal(err)
	}
	return kib / 1024
}

// cpu returns the process's CPU time.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
