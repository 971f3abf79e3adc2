"""Values from one dtype to another: by value, by range, in bounded memory."""
