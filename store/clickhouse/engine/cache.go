package engine

import (
	"fmt"
	"os"
	"path/filepath"
)

// CacheEnv is the environment variable that names the folder of what is fetched once and kept.
const CacheEnv = "METRICSTREAM_CACHE"

// CacheDir returns the folder for [Fetch]: the one that [CacheEnv] names, else metricstream under the user's
// cache folder. It need not exist.
func CacheDir() (string, error) {
	if dir := os.Getenv(CacheEnv); dir != "" {
		return filepath.Abs(dir)
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("cannot find a cache folder, set %s to one: %w", CacheEnv, err)
	}
	return filepath.Join(dir, "metricstream"), nil
}
