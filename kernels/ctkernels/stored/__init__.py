"""What lies in files, compiled: where elements of a header are, and what stored pixels are worth. Bytes in,
numbers out; which elements are wanted and what they mean is the reader's to know."""
