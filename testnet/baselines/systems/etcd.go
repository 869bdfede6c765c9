package systems

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"go.etcd.io/etcd/api/v3/version"
	clientv3 "go.etcd.io/etcd/client/v3"
	"go.etcd.io/etcd/server/v3/etcdmain"
	"go.uber.org/zap"

	"pointage/testnet/baselines/load"
)

const (
	// memberCommand makes this program's binary one member of etcd.
	memberCommand = "etcd-member"
	// connectionsPerMember is how many connections the clients of one member
	// share: with one each, 256 clients got half as many insertions a second.
	connectionsPerMember = 4
	// etcdQuota is the size at which etcd stops writing: the largest that its
	// documentation advises, since its default of 2 GiB ends a long run.
	etcdQuota = 8 << 30
)

// RunMember turns this process into a member of etcd and doesn't return when
// the program's arguments (os.Args) ask for that: the members run the program
// that starts them, with etcd's own main inside.
func RunMember(args []string) {
	if len(args) < 2 || args[1] != memberCommand {
		return
	}
	etcdmain.Main(append([]string{"etcd"}, args[2:]...))
	os.Exit(0)
}

type etcd struct {
	dir       string
	members   []*process
	endpoints []string
	clients   [][]*clientv3.Client // by member
}

func startEtcd(ctx context.Context, dir string) (System, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	own, err := makeDir(dir, Etcd)
	if err != nil {
		return nil, err
	}
	e := &etcd{dir: own}
	if err := e.launch(self); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := e.connectMembers(); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	if err := waitReady(ctx, e.members, e.ready); err != nil {
		return nil, errors.Join(err, e.Close())
	}
	return e, nil
}

func (e *etcd) launch(self string) error {
	ports, err := freePorts(2 * Replicas)
	if err != nil {
		return err
	}
	var cluster []string
	for i := range Replicas {
		cluster = append(cluster, fmt.Sprintf("m%d=http://127.0.0.1:%d", i, ports[Replicas+i]))
	}
	for i := range Replicas {
		client := fmt.Sprintf("http://127.0.0.1:%d", ports[i])
		peer := fmt.Sprintf("http://127.0.0.1:%d", ports[Replicas+i])
		p, err := launch(command{
			name: fmt.Sprintf("etcd member %d", i),
			path: self,
			args: []string{
				memberCommand,
				"--name", fmt.Sprintf("m%d", i),
				"--data-dir", filepath.Join(e.dir, fmt.Sprintf("m%d", i)),
				"--listen-client-urls", client, "--advertise-client-urls", client,
				"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer,
				"--initial-cluster", strings.Join(cluster, ","), "--initial-cluster-state", "new",
				"--quota-backend-bytes", fmt.Sprint(etcdQuota),
				"--log-level", "error",
			},
			dir: e.dir,
		}, syscall.SIGKILL)
		if err != nil {
			return err
		}
		e.members = append(e.members, p)
		e.endpoints = append(e.endpoints, client)
	}
	return nil
}

func (e *etcd) connectMembers() error {
	for _, endpoint := range e.endpoints {
		var shared []*clientv3.Client
		for range connectionsPerMember {
			c, err := clientv3.New(clientv3.Config{Endpoints: []string{endpoint}, Logger: zap.NewNop()})
			if err != nil {
				return fmt.Errorf("connect to etcd: %w", err)
			}
			shared = append(shared, c)
		}
		e.clients = append(e.clients, shared)
	}
	return nil
}

// ready asks every member whether it knows of a leader.
func (e *etcd) ready(ctx context.Context) error {
	for i := range e.endpoints {
		status, err := e.clients[i][0].Status(ctx, e.endpoints[i])
		if err != nil {
			return fmt.Errorf("ask etcd member %d: %w", i, err)
		}
		if status.Leader == 0 {
			return fmt.Errorf("etcd member %d knows of no leader", i)
		}
	}
	return nil
}

func (e *etcd) Version() string { return version.Version }

func (e *etcd) Connect(_ context.Context, n int) (load.Client, error) {
	shared := e.clients[n%len(e.clients)]
	return &etcdClient{kv: shared[n/len(e.clients)%len(shared)]}, nil
}

func (e *etcd) KillLeader(ctx context.Context) error {
	for i := range e.endpoints {
		status, err := e.clients[i][0].Status(ctx, e.endpoints[i])
		if err != nil {
			return fmt.Errorf("ask etcd member %d: %w", i, err)
		}
		if status.Leader == status.Header.MemberId {
			e.members[i].stop(syscall.SIGKILL)
			return nil
		}
	}
	return errors.New("kill etcd's leader: no member leads")
}

func (e *etcd) Close() error {
	var wg sync.WaitGroup
	for _, shared := range e.clients {
		for _, c := range shared {
			_ = c.Close() // reports the context that Close itself cancels
		}
	}
	for _, p := range e.members {
		wg.Go(func() { p.stop(syscall.SIGKILL) }) // its files go as well: nothing to finish
	}
	wg.Wait()
	if err := os.RemoveAll(e.dir); err != nil {
		return fmt.Errorf("remove etcd's files: %w", err)
	}
	return nil
}

// etcdClient shares its connection with other clients of the same member.
type etcdClient struct{ kv clientv3.KV }

func (c *etcdClient) Insert(ctx context.Context, key load.Key, value []byte) (bool, error) {
	k := string(key[:])
	r, err := c.kv.Txn(ctx).
		If(clientv3.Compare(clientv3.CreateRevision(k), "=", 0)).
		Then(clientv3.OpPut(k, string(value))).
		Commit()
	if err != nil {
		return false, err
	}
	return r.Succeeded, nil
}

func (c *etcdClient) Close() error { return nil }
