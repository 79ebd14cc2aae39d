package sessiond

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"
	"sync"
)

// compact is the size of the file, in bytes, from which it is written anew with what is still there.
const compact = 8 << 20

// journal is the sessions, and the file from which they come back after a crash of the process.
type journal struct {
	mu   sync.Mutex
	path string
	file *os.File
	size int64
	all  map[string]json.RawMessage
}

// entry is one line of the file. Without a state the session has ended.
type entry struct {
	ID    string          `json:"id"`
	State json.RawMessage `json:"state,omitempty"`
}

// open reads what a process before this one has written, up to the line in which it was killed.
func open(path string) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	j := &journal{path: path, file: file, all: map[string]json.RawMessage{}}
	for lines := bufio.NewReader(file); ; {
		line, err := lines.ReadBytes('\n')
		var e entry
		if err != nil || json.Unmarshal(line, &e) != nil {
			break
		}
		j.apply(e)
		j.size += int64(len(line))
	}
	_, err = file.Seek(j.size, io.SeekStart)
	return j, errors.Join(err, file.Truncate(j.size))
}

func (j *journal) apply(e entry) {
	if e.State == nil {
		delete(j.all, e.ID)
	} else {
		j.all[e.ID] = e.State
	}
}

func (j *journal) load(id string) (json.RawMessage, bool) {
	j.mu.Lock()
	defer j.mu.Unlock()
	state, ok := j.all[id]
	return state, ok
}

// write returns when the entry is with the operating system: the death of the process does not take it along.
func (j *journal) write(e entry) error {
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	n, err := j.file.Write(append(line, '\n'))
	if err != nil {
		return err
	}
	j.apply(e)
	if j.size += int64(n); j.size > compact {
		return j.rewrite()
	}
	return nil
}

// rewrite writes a new file and puts it in the place of the old one.
func (j *journal) rewrite() error {
	next, err := os.OpenFile(j.path+".next", os.O_RDWR|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	w := bufio.NewWriter(next)
	enc := json.NewEncoder(w)
	for id, state := range j.all {
		if err := enc.Encode(entry{id, state}); err != nil {
			return err
		}
	}
	if err := errors.Join(w.Flush(), os.Rename(j.path+".next", j.path), j.file.Close()); err != nil {
		return err
	}
	j.file = next
	j.size, err = next.Seek(0, io.SeekCurrent)
	return err
}
