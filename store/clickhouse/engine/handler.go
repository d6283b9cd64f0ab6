package engine

import (
	"bytes"
	"debug/elf"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/ebitengine/purego"
)

// The engine's main function is ClickHouse's local one, and that sets an error handler which ends the process
// when an exception leaves a connection's thread: a wrong password, a client that hangs up halfway through the
// handshake. ClickHouse's server goes on in such a case. This file makes the engine go on too.
//
// The handler is a C++ object with virtual functions, so it is enough to put another function into the table of
// its class before it is made. The table is found by the class's name, which the library carries as
// run-time type information, and not by an address, so another version of the library needs no change here; where
// the search does not find exactly what it expects, nothing is touched and the engine dies and is restarted instead.

// handlerClass is the mangled name of the error handler's class.
const handlerClass = "19KillingErrorHandler"

// A table's first two functions are the destructors, the three after them are the overloads of exception().
const (
	firstException = 2
	exceptionCount = 3
)

const wordBytes = 8

// keepAliveOnErrors replaces the functions of the handler's class. On an error the library is as it was.
func keepAliveOnErrors(handle uintptr, library string) error {
	nothing, err := purego.Dlsym(handle, "sched_yield") // takes and does nothing
	if err != nil {
		return fmt.Errorf("cannot find a function that does nothing: %w", err)
	}
	base, err := loadAddress(library)
	if err != nil {
		return err
	}
	memory, err := os.OpenFile("/proc/self/mem", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("cannot open this process's memory: %w", err)
	}
	defer memory.Close()
	table, err := findTable(library, memory, base)
	if err != nil {
		return fmt.Errorf("cannot find the error handler in %s: %w", library, err)
	}
	var functions []byte
	for range exceptionCount {
		functions = binary.LittleEndian.AppendUint64(functions, uint64(nothing))
	}
	if _, err := memory.WriteAt(functions, int64(table+firstException*wordBytes)); err != nil {
		return fmt.Errorf("cannot replace the error handler: %w", err)
	}
	return nil
}

// loadAddress returns where the library begins in this process's memory.
func loadAddress(library string) (uint64, error) {
	path, err := filepath.EvalSymlinks(library)
	if err != nil {
		return 0, fmt.Errorf("cannot resolve the library's path: %w", err)
	}
	maps, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return 0, fmt.Errorf("cannot read this process's memory map: %w", err)
	}
	var found []uint64
	for line := range strings.Lines(string(maps)) {
		// address range, permissions, offset, device, inode, padding and path
		fields := strings.SplitN(strings.TrimSuffix(line, "\n"), " ", 6)
		if len(fields) < 6 || strings.Trim(fields[2], "0") != "" || strings.TrimLeft(fields[5], " ") != path {
			continue
		}
		from, _, _ := strings.Cut(fields[0], "-")
		address, err := strconv.ParseUint(from, 16, 64)
		if err != nil {
			return 0, fmt.Errorf("cannot read this process's memory map: %w", err)
		}
		found = append(found, address)
	}
	if len(found) != 1 {
		return 0, fmt.Errorf("%s begins %d times in this process's memory map", path, len(found))
	}
	return found[0], nil
}

// findTable returns the address of the first function in the class's table. The name is referred to by the second
// word of the class's type information; that in turn by the table, before the functions and after a zero.
func findTable(library string, memory io.ReaderAt, base uint64) (uint64, error) {
	file, err := elf.Open(library)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	constants, relocated := file.Section(".rodata"), file.Section(".data.rel.ro")
	if constants == nil || relocated == nil {
		return 0, errors.New("it has no .rodata or no .data.rel.ro")
	}
	names, err := find(constants, constants.Size, []byte("\x00"+handlerClass+"\x00"))
	if err != nil {
		return 0, err
	}
	if len(names) != 1 {
		return 0, fmt.Errorf("it has %d classes of the name", len(names))
	}
	start := base + relocated.Addr
	words := io.NewSectionReader(memory, int64(start), int64(relocated.Size))
	infos, err := find(words, relocated.Size, word(base+constants.Addr+names[0]+1))
	if err != nil {
		return 0, err
	}
	if len(infos) != 1 || infos[0] < wordBytes {
		return 0, fmt.Errorf("it has %d type informations for the name", len(infos))
	}
	tables, err := find(words, relocated.Size, append(word(0), word(start+infos[0]-wordBytes)...))
	if err != nil {
		return 0, err
	}
	if len(tables) != 1 {
		return 0, fmt.Errorf("it has %d tables for the class", len(tables))
	}
	return start + tables[0] + 2*wordBytes, nil
}

func word(v uint64) []byte { return binary.LittleEndian.AppendUint64(nil, v) }

// find returns the offsets of all occurrences of the pattern.
func find(in io.ReaderAt, size uint64, pattern []byte) ([]uint64, error) {
	const step = 1 << 20
	var found []uint64
	buffer := make([]byte, step+len(pattern)-1) // windows overlap, so that no occurrence is cut
	for at := uint64(0); at < size; at += step {
		n, err := in.ReadAt(buffer[:min(uint64(len(buffer)), size-at)], int64(at))
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		for from := 0; ; {
			i := bytes.Index(buffer[from:n], pattern)
			if i < 0 {
				break
			}
			found = append(found, at+uint64(from+i))
			from += i + 1
		}
	}
	return found, nil
}
