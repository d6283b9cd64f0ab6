package embedded

import (
	"bufio"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/IBM/sarama"
)

// crashDir in the environment makes the test binary the writer of TestAcknowledgedSurvivesSIGKILL.
const crashDir = "METRICSTREAM_TEST_CRASH_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(crashDir); dir != "" {
		writeUntilKilled(dir)
		return
	}
	os.Exit(m.Run())
}

// writeUntilKilled appends from several goroutines and prints what was acknowledged: partition, offset, value.
func writeUntilKilled(dir string) {
	l, err := Open(dir, testConfig(), Options{Topic: topic, Partitions: 4})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	for w := range 8 {
		go func() {
			padding := strings.Repeat("x", 50*w)
			for i := 0; ; i++ {
				v := fmt.Sprintf("%d-%d-%d-%s", os.Getpid(), w, i, padding)
				p, offset, err := l.Producer().SendMessage(&sarama.ProducerMessage{Topic: topic, Partition: int32(w % 4), Value: sarama.StringEncoder(v)})
				if err != nil {
					fmt.Fprintln(os.Stderr, err)
					os.Exit(1)
				}
				fmt.Printf("%d %d %s\n", p, offset, v)
			}
		}()
	}
	time.Sleep(time.Minute) // the parent kills before, or is gone
}

func TestAcknowledgedSurvivesSIGKILL(t *testing.T) {
	dir := t.TempDir()
	acked := map[[2]int64]string{}
	for range 8 {
		for place, v := range killedWriter(t, dir, time.Duration(20+rand.IntN(150))*time.Millisecond) {
			if before, ok := acked[place]; ok {
				t.Fatalf("offset %v was acknowledged as %q and as %q", place, before, v)
			}
			acked[place] = v
		}
	}
	if len(acked) == 0 {
		t.Fatal("nothing was acknowledged")
	}
	l := open(t, dir, testConfig())
	for place, v := range acked {
		m, _, err := l.read(int32(place[0]), place[1])
		if err != nil || m == nil || m.Offset != place[1] || string(m.Value) != v {
			t.Fatalf("record %v was acknowledged as %q; now it is %v, %v", place, v, m, err)
		}
	}
	t.Logf("%d records were acknowledged in 8 lives, all are there", len(acked))
}

// killedWriter runs a writer, kills it some time after its first acknowledgement, and returns those it printed.
func killedWriter(t *testing.T, dir string, after time.Duration) map[[2]int64]string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), crashDir+"="+dir)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	acked := map[[2]int64]string{}
	lines := bufio.NewReader(out)
	var kill *time.Timer
	for {
		line, err := lines.ReadString('\n')
		if err != nil {
			break // what is left of a line was cut off by the kill
		}
		if kill == nil {
			kill = time.AfterFunc(after, func() { cmd.Process.Kill() })
		}
		f := strings.Fields(line)
		partition, _ := strconv.ParseInt(f[0], 10, 64)
		offset, _ := strconv.ParseInt(f[1], 10, 64)
		acked[[2]int64{partition, offset}] = f[2]
	}
	cmd.Process.Kill()
	if err := cmd.Wait(); err == nil || cmd.ProcessState.ExitCode() == 1 {
		t.Fatalf("the writer ended by itself: %v", err)
	}
	return acked
}
