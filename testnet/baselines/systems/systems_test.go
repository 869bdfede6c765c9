package systems

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"

	"pointage/testnet/baselines/load"
)

func TestMain(m *testing.M) {
	RunMember(os.Args)
	os.Exit(m.Run())
}

// openDir returns a directory that every user may enter, unlike t.TempDir's
// parent: as root, PostgreSQL runs as somebody else.
func openDir(t *testing.T) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "baselines-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// replicas is what the tests look at from within.
type replicas struct {
	System
	processes []*process
	leader    func(context.Context) (int, error)
	count     func(ctx context.Context, i int) (int, error)
}

func inside(t *testing.T, s System) replicas {
	t.Helper()
	switch s := s.(type) {
	case *etcd:
		return replicas{
			System: s, processes: s.members,
			count: func(ctx context.Context, i int) (int, error) {
				r, err := s.clients[i][0].Get(ctx, "", clientv3.WithPrefix(), clientv3.WithCountOnly(), clientv3.WithSerializable())
				if err != nil {
					return 0, err
				}
				return int(r.Count), nil
			},
			leader: func(ctx context.Context) (int, error) {
				for i := range s.members {
					status, err := s.clients[i][0].Status(ctx, s.endpoints[i])
					if err != nil {
						return 0, err
					}
					if status.Leader == status.Header.MemberId {
						return i, nil
					}
				}
				return 0, errors.New("no leader")
			},
		}
	case *postgreSQL:
		return replicas{
			System: s, processes: s.servers,
			leader: func(context.Context) (int, error) { return 0, nil },
			count: func(ctx context.Context, i int) (n int, err error) {
				return n, s.query(ctx, i, "select count(*) from entries", &n)
			},
		}
	}
	t.Fatalf("system of type %T", s)
	return replicas{}
}

func TestEveryReplicaHoldsWhatWasAnswered(t *testing.T) {
	for _, name := range Names() {
		t.Run(name, func(t *testing.T) {
			dir := openDir(t)
			s, err := Start(t.Context(), name, dir)
			var missing *MissingError
			if errors.As(err, &missing) {
				program, _, _ := strings.Cut(missing.What, " ")
				if path, err := exec.LookPath(program); err == nil {
					t.Fatalf("%s: but it is %s", missing, path)
				}
				t.Log(missing)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			r := inside(t, s)
			const clients = 4
			result, err := load.Run(t.Context(), s.Connect, clients, time.Second)
			if err != nil {
				t.Error(errors.Join(err, s.Close()))
				return
			}
			if result.Ops < clients || result.Seconds < 1 || result.P50 <= 0 || result.P99 < result.P50 || result.Max < result.P99 {
				t.Errorf("result %+v", result)
			}
			waitForCount(t, r, result.Ops+clients)
			killAndClose(t, r)
			if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
				t.Errorf("%v left in the directory (%v)", left, err)
			}
		})
	}
}

func waitForCount(t *testing.T, r replicas, want int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	err := waitReady(ctx, r.processes, func(ctx context.Context) error {
		for i := range r.processes {
			n, err := r.count(ctx, i)
			if err != nil {
				return err
			}
			if n != want {
				return fmt.Errorf("replica %d holds %d values, want %d", i, n, want)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func killAndClose(t *testing.T, r replicas) {
	t.Helper()
	leader, err := r.leader(t.Context())
	if err != nil {
		t.Error(err)
	}
	var segments []int
	if p, ok := r.System.(*postgreSQL); ok {
		for i := range p.servers {
			id, ok := p.segment(i)
			if !ok {
				t.Errorf("server %d names no shared memory", i)
			}
			segments = append(segments, id)
		}
	}
	if err := r.KillLeader(t.Context()); err != nil {
		t.Error(err)
	}
	for i, p := range r.processes {
		if p.ended() != (i == leader) {
			t.Errorf("leader %d killed: replica %d has ended: %t", leader, i, p.ended())
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	for _, p := range r.processes {
		if err := syscall.Kill(-p.pid, 0); !errors.Is(err, syscall.ESRCH) {
			t.Errorf("%s: its process group answers %v", p.name, err)
		}
	}
	for _, id := range segments {
		if err := removeSharedMemory(id); err == nil {
			t.Errorf("shared memory segment %d was left", id)
		}
	}
}

func TestProgramNotInstalledIsNamed(t *testing.T) {
	t.Setenv("PATH", t.TempDir())
	_, err := Start(t.Context(), PostgreSQL, openDir(t))
	var missing *MissingError
	if !errors.As(err, &missing) || !strings.HasPrefix(missing.What, "postgres not on PATH") {
		t.Errorf("error %v, want postgres named as missing", err)
	}
}

func TestUnknownSystemIsRefused(t *testing.T) {
	if _, err := Start(t.Context(), "oracle", openDir(t)); err == nil || !strings.Contains(err.Error(), "oracle") {
		t.Errorf("error %v, want the name refused", err)
	}
}

func TestProcessThatEndsEarlySaysWhy(t *testing.T) {
	p, err := launch(command{name: "shell", path: "/bin/sh", args: []string{"-c", "echo one; echo bad disk >&2; exit 3"}, dir: t.TempDir()}, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	never := errors.New("not ready")
	err = waitReady(t.Context(), []*process{p}, func(context.Context) error { return never })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "bad disk") {
		t.Errorf("error %v, want status and last line", err)
	}
}

func TestTakenPortIsRecognized(t *testing.T) {
	p, err := launch(command{name: "shell", path: "/bin/sh", args: []string{"-c", "echo 'listen: Address already in use'; exit 1"}, dir: t.TempDir()}, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	err = waitReady(t.Context(), []*process{p}, func(context.Context) error { return errors.New("not ready") })
	if !errors.Is(err, errPortTaken) {
		t.Errorf("error %v, want %v", err, errPortTaken)
	}
}

func TestEndedWaitEndsTheProgram(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	start := time.Now()
	err := run(ctx, command{name: "shell", path: "/bin/sh", args: []string{"-c", "sleep 60 & wait"}, dir: t.TempDir()})
	if !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("error %v, want the deadline's", err)
	}
	if took := time.Since(start); took > stopTimeout {
		t.Errorf("ended after %s: the shell's child was left running", took)
	}
}

func TestEnvironmentOfOthersIsNotHandedOn(t *testing.T) {
	t.Setenv("ETCD_UNSAFE_NO_FSYNC", "true")
	t.Setenv("PGOPTIONS", "-c synchronous_commit=off")
	p, err := launch(command{name: "env", path: "/usr/bin/env", dir: t.TempDir()}, syscall.SIGKILL)
	if err != nil {
		t.Fatal(err)
	}
	<-p.done
	if got := p.output.String(); strings.Contains(got, "ETCD_") || strings.Contains(got, "PGOPTIONS") || !strings.Contains(got, "PATH=") {
		t.Errorf("environment:\n%s", got)
	}
}
