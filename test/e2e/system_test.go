package e2e

import (
	"net/url"
	"testing"
	"time"

	"github.com/metricstream/metricstream/internal/testenv"
)

// readyWithin is how long a process may take to its first /-/ready on a busy machine.
const readyWithin = 2 * time.Minute

// inForce is how long a change of tenants, keys or limits may take on a busy machine; 5 s are promised.
const inForce = 30 * time.Second

// node is one running metricstream process.
type node struct {
	*testenv.Process
	url string
}

// start runs `metricstream ROLE` on a free port and waits until it is ready.
func start(t *testing.T, role, dataDir string, flags ...string) *node {
	t.Helper()
	n := launch(t, role, dataDir, flags...)
	testenv.WaitOK(t, n.Process, n.url+"/-/ready", readyWithin)
	return n
}

// launch is start without the wait.
func launch(t *testing.T, role, dataDir string, flags ...string) *node {
	t.Helper()
	address := testenv.FreeAddress(t)
	args := append([]string{role, "--web.listen-address=" + address, "--storage.path=" + dataDir}, flags...)
	return &node{testenv.StartProcess(t, t.TempDir(), binary, args...), "http://" + address}
}

// clickhouse returns the address of a database of the test's own in the ClickHouse that the tests share.
func clickhouse(t *testing.T) string {
	t.Helper()
	dsn, err := url.Parse(testenv.StartEngine(t))
	if err != nil {
		t.Fatal(err)
	}
	dsn.Path = "/" + t.Name()
	return dsn.String()
}
