package testenv

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

const kafkaVersion = "4.3.1"

// kafkaPOM names the broker and something that prints its log; Maven knows what else they need.
const kafkaPOM = `<project>
  <modelVersion>4.0.0</modelVersion>
  <groupId>metricstream</groupId>
  <artifactId>kafka</artifactId>
  <version>1</version>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>` + kafkaVersion + `</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.24.3</version></dependency>
  </dependencies>
</project>
`

// FetchKafka brings Apache Kafka's jars into the cache folder by Maven, where they are not there yet, and returns
// the folder that they are in. Several processes may do so at once.
func FetchKafka(ctx context.Context, cacheDir string) (libDir string, err error) {
	libDir = filepath.Join(cacheDir, "kafka-"+kafkaVersion)
	if _, err := os.Stat(libDir); err == nil {
		return libDir, nil
	}
	if err := os.MkdirAll(cacheDir, 0o755); err != nil {
		return "", fmt.Errorf("cannot create cache folder: %w", err)
	}
	lock, err := os.Create(libDir + ".lock")
	if err != nil {
		return "", fmt.Errorf("cannot lock cache folder: %w", err)
	}
	defer lock.Close() // which unlocks
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX); err != nil {
		return "", fmt.Errorf("cannot lock cache folder: %w", err)
	}
	if _, err := os.Stat(libDir); err == nil {
		return libDir, nil
	}
	return libDir, copyJars(ctx, cacheDir, libDir)
}

func copyJars(ctx context.Context, cacheDir, libDir string) error {
	if _, err := exec.LookPath("mvn"); err != nil {
		return fmt.Errorf("cannot fetch Apache Kafka: mvn is missing; install Maven (Debian: apt-get install maven): %w", err)
	}
	tmp, err := os.MkdirTemp(cacheDir, "kafka-*")
	if err != nil {
		return fmt.Errorf("cannot create a folder for Apache Kafka: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := os.WriteFile(filepath.Join(tmp, "pom.xml"), []byte(kafkaPOM), 0o644); err != nil {
		return fmt.Errorf("cannot write pom.xml: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Minute)
	defer cancel()
	jars := filepath.Join(tmp, "lib")
	cmd := exec.CommandContext(ctx, "mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies",
		"-DincludeScope=runtime", "-DoutputDirectory="+jars)
	cmd.Dir = tmp
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("cannot fetch Apache Kafka %s by Maven: %w\n%s", kafkaVersion, err, strings.TrimSpace(string(out)))
	}
	return publish(jars, libDir)
}
