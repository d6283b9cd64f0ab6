package embedded

import (
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

const generationName = "generation"

// Generation tells this log from every other that was or will be in the same folder: a random text that is made
// with the folder's first segment and goes with it.
func (l *Log) Generation() string { return l.generation }

// openGeneration reads the folder's generation, and makes one where there is none. One that is lost is made anew:
// whoever compares then begins at the oldest record.
func openGeneration(dir string) (string, error) {
	path := filepath.Join(dir, generationName)
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return "", fmt.Errorf("cannot read the log's generation: %w", err)
	}
	if known := strings.TrimSpace(string(text)); known != "" {
		return known, nil
	}
	var id [16]byte
	_, _ = rand.Read(id[:]) // never fails
	made := base64.RawURLEncoding.EncodeToString(id[:])
	if err := writeDurably(dir, generationName, made+"\n"); err != nil {
		return "", fmt.Errorf("cannot write the log's generation: %w", err)
	}
	return made, nil
}

// writeDurably makes a small file that is there whole, or not at all.
func writeDurably(dir, name, text string) error {
	path := filepath.Join(dir, name)
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.WriteString(text)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		err = os.Rename(path+".new", path)
	}
	if err == nil {
		err = syncDir(dir)
	}
	return err
}
