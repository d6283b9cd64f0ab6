package bench

import (
	"fmt"
	"maps"
	"os"
	"strings"
)

// withKey returns the headers with the API key of a file, so that it is on no command line; without a file as they are.
func withKey(headers map[string]string, file string) (map[string]string, error) {
	if file == "" {
		return headers, nil
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("--key-file: %w", err)
	}
	key := strings.TrimSpace(string(raw))
	if key == "" {
		return nil, fmt.Errorf("--key-file: %s is empty", file)
	}
	with := map[string]string{"Authorization": "Bearer " + key}
	maps.Copy(with, headers)
	return with, nil
}
