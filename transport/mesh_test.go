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

func TestLargeMembershipConnectsWhereItIsUsed(t *testing.T) {
	members := names(t, 1, 2, 3)
	var hosts []*Host
	for n := 1; n <= 3; n++ {
		h := start(t, n, Config{Members: members, Limits: Limits{Mesh: 1}})
		members[n-1].Addrs = h.Addrs()
		hosts = append(hosts, h)
	}
	serveEcho(t, hosts[0])
	// Three knows everyone's address; it uses one only.
	if err := sendAndHear(dial(t, hosts[2], hosts[0].Self(), echo), []byte("used")); err != nil {
		t.Fatal(err)
	}
	if got := hosts[2].Connected(); len(got) != 1 || got[0] != hosts[0].Self() {
		t.Errorf("three is connected with %v, want only %s", got, hosts[0].Self())
	}
	// Two has no address of three, nor three a reason to call: one tells two where it is.
	if err := hosts[1].SetAddrs(hosts[0].Self(), hosts[0].Addrs()); err != nil {
		t.Fatal(err)
	}
	serveEcho(t, hosts[2])
	if err := sendAndHear(dial(t, hosts[1], hosts[0].Self(), echo), []byte("used")); err != nil {
		t.Fatal(err)
	}
	if err := sendAndHear(dial(t, hosts[1], hosts[2].Self(), echo), []byte("found")); err != nil {
		t.Fatal(err)
	}
}

// BenchmarkMesh measures what idle machines in one process cost, fully connected: memory resident, goroutines a machine,
// and cores kept busy by the keep-alive alone.
func BenchmarkMesh(b *testing.B) {
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		for _, n := range []int{2, 30} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				began := time.Now()
				hosts := startMesh(b, n, listen)
				defer closeAll(b, hosts)
				b.ReportMetric(time.Since(began).Seconds(), "s-to-connect")
				reportIdle(b, n)
			})
		}
	}
}

// BenchmarkStar measures the same for a membership too large for a mesh, where one machine has a stream to each other
// one, as a leader has.
func BenchmarkStar(b *testing.B) {
	const n = 120
	var numbers []int
	for i := 1; i <= n; i++ {
		numbers = append(numbers, i)
	}
	members := names(b, numbers...)
	for name, listen := range map[string]string{"tcp": tcpLoopback, "quic": quicLoopback} {
		b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
			began := time.Now()
			hub := start(b, 1, Config{Listen: []string{listen}, Members: members})
			for i := 2; i <= n; i++ {
				h := start(b, i, Config{Listen: []string{listen}, Members: members})
				serveEcho(b, h)
				if err := hub.SetAddrs(h.Self(), h.Addrs()); err != nil {
					b.Fatal(err)
				}
				c, err := hub.Dial(b.Context(), h.Self(), echo)
				if err != nil {
					b.Fatal(err)
				}
				defer c.Close()
				if err := sendAndHear(c, []byte("open")); err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(time.Since(began).Seconds(), "s-to-connect")
			reportIdle(b, n)
		})
	}
}

// reportIdle reports what n idle machines cost.
func reportIdle(b *testing.B, n int) {
	b.Helper()
	b.ReportMetric(float64(runtime.NumGoroutine())/float64(n), "goroutines/host")
	runtime.GC()
	b.ReportMetric(resident(b), "MiB-resident")
	const idle = 5 * time.Second
	used := cpu(b)
	<-time.After(idle)
	b.ReportMetric((cpu(b)-used).Seconds()/idle.Seconds(), "cores-idle")
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
