package bench

import (
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// DiskUse is the size of folders.
type DiskUse struct {
	// Bytes are the blocks that the files take, as du counts them; a file with several links counts once.
	Bytes int64 `json:"bytes"`
	// ApparentBytes are the files' lengths.
	ApparentBytes int64 `json:"apparent_bytes"`
	// Parts are the Bytes of each entry right below the folders.
	Parts map[string]int64 `json:"parts,omitempty"`
}

// diskUse measures folders. Files that vanish while it looks, as merged parts do, are left out.
func diskUse(folders []string) (DiskUse, error) {
	use := DiskUse{Parts: map[string]int64{}}
	seen := map[[2]uint64]bool{}
	for _, folder := range folders {
		if _, err := os.Stat(folder); err != nil {
			return use, fmt.Errorf("cannot measure disk use: %w", err)
		}
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil {
				return nil
			}
			info, err := d.Info()
			if err != nil {
				return nil
			}
			st, ok := info.Sys().(*syscall.Stat_t)
			if !ok || seen[[2]uint64{uint64(st.Dev), st.Ino}] {
				return nil
			}
			seen[[2]uint64{uint64(st.Dev), st.Ino}] = true
			use.Bytes += st.Blocks * 512
			if info.Mode().IsRegular() {
				use.ApparentBytes += info.Size()
			}
			rel, _ := filepath.Rel(folder, path)
			part, _, _ := strings.Cut(rel, string(filepath.Separator))
			use.Parts[part] += st.Blocks * 512
			return nil
		})
		if err != nil {
			return use, fmt.Errorf("cannot measure disk use of %s: %w", folder, err)
		}
	}
	return use, nil
}
